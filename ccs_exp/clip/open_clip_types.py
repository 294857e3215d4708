"""open_clip's models for a type checker: open_clip has no types, and an `nn.Module` may have any attribute."""

from __future__ import annotations

from typing import Any, TypeAlias

OpenClip: TypeAlias = Any  # a model as open_clip builds it: CLIP, CustomTextCLIP, CoCa, whose attributes differ
