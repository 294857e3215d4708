"""TEXTSPAN (Gandelsman et al., ICLR 2024, algorithm 1) from moments, for all heads at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ccs_exp.errors import CcsError
from ccs_exp.heads import DESCRIPTIONS_PER_HEAD
from ccs_exp.scoring.head_space import HeadSpace
from ccs_exp.scoring.moments import HeadMoments

# Eigenvalues of a k x k second moment carry a rounding error of about k times float64's; ten times that counts as zero.
_RANK_MARGIN = 10 * torch.finfo(torch.float64).eps


class TextSpans(NamedTuple):
    """`picks`: indices into the pool in the order picked. `explained_variance`: share of a head's variance that they span."""

    picks: Int[Tensor, "heads descriptions"]
    explained_variance: Float[Tensor, " heads"]


_AT_ONCE = 2**25  # numbers: texts as so many heads see them; heads of pools have ten times the dimensions of others


def textspan(
    moments: HeadMoments,
    maps: Float[Tensor, "heads k dim"],
    pool: Float[Tensor, "pool dim"],
    descriptions: int = DESCRIPTIONS_PER_HEAD,
) -> TextSpans:
    """Pick, for every head, the descriptions that span its contributions best.

    With ``c = coefficients @ maps`` the contributions C of a head over the images: project the pool on the span of C, centre C,
    then repeatedly take the description whose projection varies most over the images and remove its direction from C and
    from all descriptions. Descriptions are not renormalised after projection. All of that depends on C only through its first
    and second moments, and happens in the at most k dimensions that the head can write to.

    Args:
        moments: of the coefficients, over the probe images.
        maps: from coefficients to contributions, one matrix a head.
        pool: L2-normalised text embeddings.

    Raises:
        CcsError: the pool has fewer than `descriptions` entries, or fewer that differ, or the contributions of a head over the
            probe images span fewer dimensions than that.
    """
    if pool.shape[0] < descriptions:
        raise CcsError(f"The pool has {pool.shape[0]} descriptions; each head needs {descriptions}. Choose a larger pool.")
    if moments.num_images == 0:
        raise CcsError("No probe image was decomposed: TEXTSPAN has nothing to describe. Check the probe's images.")
    if not all(values.isfinite().all() for values in (moments.first, moments.second, maps, pool)):
        raise CcsError(
            "The heads' contributions or the descriptions' embeddings are not all finite numbers. Use precision=32, or check "
            "the model's weights."
        )
    distinct = _first_of_equals(pool)
    size = max(1, _AT_ONCE // (len(distinct) * min(maps.shape[1:])))
    groups = [_picked(moments.of_heads(start, start + size), maps[start : start + size], pool, distinct, descriptions)
              for start in range(0, len(maps), size)]  # fmt: skip
    return TextSpans(*(torch.cat(of_groups) for of_groups in zip(*groups, strict=True)))


def _picked(moments: HeadMoments, maps: Tensor, pool: Tensor, distinct: Int[Tensor, " distinct"], descriptions: int) -> TextSpans:
    """`textspan` of heads that are few enough to hold all descriptions in the dimensions of each."""
    span = _span(HeadSpace.of(maps), moments)
    _check_dimensions(moments, span, descriptions)
    texts = pool[distinct].double().cpu() @ span.basis  # [heads, pool, s]
    covariance = torch.diag_embed(span.second) - span.mean[:, :, None] * span.mean[:, None, :]

    spanned = _trace(covariance)
    squares = texts**2
    nothing = span.rounding * squares.sum(dim=-1).amax(dim=-1)  # a variance that may be rounding alone
    # t'Ct of C = diag(second) - mean mean', without a product with C
    variance = (squares @ span.second[..., None] - (texts @ span.mean[..., None]) ** 2)[..., 0]  # [heads, pool]
    picks: list[Int[Tensor, " heads"]] = []
    removed: list[Float[Tensor, "heads s"]] = []
    while True:
        pick, most = variance.argmax(dim=1), variance.amax(dim=1)  # argmax, unlike max, promises the first among equals
        if (most <= nothing).any():
            heads = [str(head) for head, empty in zip(moments.heads, most <= nothing, strict=True) if empty]
            raise CcsError(
                f"After {len(picks)} picks no description of the pool says anything more of {', '.join(heads[:6])}: the pool has too few "
                f"descriptions that differ for this model. Each head needs {descriptions}; choose a larger pool."
            )
        picks.append(pick)
        direction = _without(texts[torch.arange(len(pick)), pick], removed)  # [heads, s]
        removed.append(direction)
        along = (covariance @ direction[..., None])[..., 0]
        kept = (direction * along).sum(dim=-1)[:, None]
        if len(picks) < descriptions:
            # t' = t - (t . d) d has the variance t'Ct' = tCt - 2 (t . d)(t . Cd) + (t . d)^2 dCd: two products a description
            of_direction, of_along = (texts @ torch.stack([direction, along], dim=-1)).unbind(dim=-1)
            variance = variance - 2 * of_direction * of_along + of_direction**2 * kept
            # a picked description has no direction left, but rounding may leave it a trace of one
            variance.scatter_(1, torch.stack(picks, dim=1), -torch.inf)
        covariance = (
            covariance
            - along[:, :, None] * direction[:, None, :]
            - direction[:, :, None] * along[:, None, :]
            + kept[..., None] * direction[:, :, None] * direction[:, None, :]
        )
        if len(picks) == descriptions:
            break
    return TextSpans(distinct[torch.stack(picks, dim=1)], (spanned - _trace(covariance)) / span.variance)


def _first_of_equals(pool: Float[Tensor, "pool dim"]) -> Int[Tensor, " distinct"]:
    """Descriptions whose embedding no earlier one has. Equal rows may come out of a matrix product unequal in the last digit."""
    _, group = torch.unique(pool.cpu(), dim=0, return_inverse=True)
    first = torch.full((int(group.max()) + 1,), len(group)).scatter_reduce_(0, group, torch.arange(len(group)), "amin")
    return first.sort().values


def _without(texts: Float[Tensor, "heads s"], removed: list[Float[Tensor, "heads s"]]) -> Float[Tensor, "heads s"]:
    """The direction of what is left of `texts` outside the removed directions, which are orthonormal; length 1."""
    for direction in [*removed, *removed]:  # twice, since what rounding leaves of them would grow from pick to pick
        texts = texts - (texts * direction).sum(dim=-1, keepdim=True) * direction
    return texts / texts.norm(dim=-1, keepdim=True)


class _Span(NamedTuple):
    """What the uncentred contributions span up to float64's rounding, in the directions in which their second moments are diagonal.

    `s` is the largest rank of a head; heads of less have basis vectors of zeros. `variance`: in all, also what
    rounding hides; `rounding`: what an eigenvalue of the second moments may be by rounding alone.
    """

    basis: Float[Tensor, "heads dim s"]
    second: Float[Tensor, "heads s"]
    mean: Float[Tensor, "heads s"]
    variance: Float[Tensor, " heads"]
    rounding: Float[Tensor, " heads"]


def _span(space: HeadSpace, moments: HeadMoments) -> _Span:
    second, mean = space.second(moments), space.mean(moments)
    values, vectors = torch.linalg.eigh(second)  # ascending; of many coefficients this is what takes the time
    rounding = _rounding(values)
    kept = values > rounding[:, None]
    start = values.shape[1] - int(kept.sum(dim=1).max())
    kept, vectors = kept[:, start:], vectors[:, :, start:] * kept[:, None, start:]
    variance = _trace(second) - (mean**2).sum(dim=1)
    return _Span(space.basis @ vectors, values[:, start:] * kept, (mean[:, None, :] @ vectors)[:, 0], variance, rounding)


def span_projection(second: Float[Tensor, "heads r r"]) -> Float[Tensor, "heads r r"]:
    """Projection on the span of the uncentred contributions, up to float64's rounding."""
    values, vectors = torch.linalg.eigh(second)
    kept = vectors * (values > _rounding(values)[:, None])[:, None, :]
    return kept @ kept.transpose(1, 2)


def _rounding(eigenvalues: Float[Tensor, "heads r"]) -> Float[Tensor, " heads"]:
    return _RANK_MARGIN * eigenvalues.shape[-1] * eigenvalues.abs().amax(dim=-1)


def _check_dimensions(moments: HeadMoments, span: _Span, needed: int) -> None:
    # centring takes one dimension at most, so that heads of more than that vary in as many as they need
    few = ((span.second > 0).sum(dim=1) <= needed).nonzero()[:, 0].tolist()
    covariance = torch.diag_embed(span.second[few]) - span.mean[few, :, None] * span.mean[few, None, :]
    rank = (torch.linalg.eigvalsh(covariance) > span.rounding[few, None]).sum(dim=1)
    poor = [f"{moments.heads[head]} ({int(r)})" for head, r in zip(few, rank, strict=True) if r < needed]
    if poor:
        raise CcsError(
            f"Over {moments.num_images} probe images the contributions of {len(poor)} heads vary in fewer than {needed} dimensions "
            f"({', '.join(poor[:6])}{' ...' if len(poor) > 6 else ''}), so {needed} descriptions cannot be told apart. Use more "
            "and more varied probe images (probe.num_images)."
        )


def _trace(matrices: Float[Tensor, "heads s s"]) -> Float[Tensor, " heads"]:
    return matrices.diagonal(dim1=1, dim2=2).sum(dim=-1)
