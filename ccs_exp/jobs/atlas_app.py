"""The app on a run: its tasks' classes, its masks, and an address that only this machine knows."""

from __future__ import annotations

import secrets

from ccs_exp.atlas.facts import read_facts
from ccs_exp.atlas.questions import Classes, Questions, class_set
from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.errors import CcsError
from ccs_exp.jobs.evaluate_stage import image_tasks
from ccs_exp.jobs.open_run import OpenRun, known_source
from ccs_exp.run_folder.wording import plain
from ccs_exp.tasks.classification import class_embeddings


def serve_run(run: OpenRun, host: str, port: int) -> None:
    """Serve until Ctrl-C. Raises `CcsError` where the libraries are not installed, or the port is taken."""
    try:
        from ccs_exp.atlas.app import application, bound, serve
    except ImportError as error:
        raise CcsError(f"The app needs {error.name}: pip install 'ccs_exp[atlas]'. The pages, without --serve, need nothing.") from error

    server, token = bound(host, port), secrets.token_urlsafe(16)
    port = server.getsockname()[1]
    names = {host, "localhost"} if host == "127.0.0.1" else {host}
    with server, run.compute.placed(run.model):
        tasks, lost = classes_of(run)
        questions = Questions(run.model, run.kept, run.probe if run.thumbnails else None, tasks, SharedPrefixEngine())
        hosts = [f"{f'[{name}]' if ':' in name else name}:{port}" for name in sorted(names)]
        app = application(questions, read_facts(run.path), run.title, token, hosts, (*run.notices, *lost))
        print(f"Ask here: http://{hosts[0]}/{plain(token)}/\nCtrl-C ends it.", flush=True)
        serve(app, server)


def classes_of(run: OpenRun) -> tuple[dict[str, Classes], list[str]]:
    """The classes of the run's tasks, and why there are none where there are none: silencing heads changes nothing that can be named."""
    node = run.cfg.dataset
    if node.name == "none" or node.task != "classification":
        return {}, []
    try:
        tasks = image_tasks(node, known_source(node))
    except CcsError as error:
        return {}, [f"Classes to silence heads for cannot be had: {error}"]
    found = ((task, class_embeddings(run.model, task.class_names, task.templates)) for task in tasks)
    return {task.name: class_set(run.model, task.class_names, embeddings) for task, embeddings in found}, []
