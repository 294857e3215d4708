"""TEXTSPAN (Gandelsman et al., ICLR 2024, algorithm 1) from moments, for all heads at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ccs_exp.errors import CcsError
from ccs_exp.heads import DESCRIPTIONS_PER_HEAD
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
    basis, coordinates = torch.linalg.qr(maps.double().transpose(1, 2))  # [heads, dim, r], [heads, r, k] with r = min(k, dim)
    second = coordinates @ (moments.second / moments.num_images) @ coordinates.transpose(1, 2)
    mean = (coordinates @ (moments.first / moments.num_images)[..., None])[..., 0]  # [heads, r]
    texts = torch.einsum("pd,hdr->hpr", pool[distinct].double().cpu(), basis) @ span_projection(second)
    covariance = second - mean[:, :, None] * mean[:, None, :]
    _check_dimensions(moments, covariance, second, descriptions)

    total = _trace(covariance)
    nothing = _rounding(second)[:, 0] * (texts**2).sum(dim=-1).amax(dim=-1)  # a variance that may be rounding alone
    variance = ((texts @ covariance) * texts).sum(dim=-1)  # [heads, pool]
    picks: list[Int[Tensor, " heads"]] = []
    removed: list[Float[Tensor, "heads r"]] = []
    while True:
        pick, most = variance.argmax(dim=1), variance.amax(dim=1)  # argmax, unlike max, promises the first among equals
        if (most <= nothing).any():
            heads = [str(head) for head, empty in zip(moments.heads, most <= nothing, strict=True) if empty]
            raise CcsError(
                f"After {len(picks)} picks no description of the pool says anything more of {', '.join(heads[:6])}: the pool has too few "
                f"descriptions that differ for this model. Each head needs {descriptions}; choose a larger pool."
            )
        picks.append(pick)
        direction = _without(texts[torch.arange(len(pick)), pick], removed)  # [heads, r]
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
    return TextSpans(distinct[torch.stack(picks, dim=1)], 1 - _trace(covariance) / total)


def _first_of_equals(pool: Float[Tensor, "pool dim"]) -> Int[Tensor, " distinct"]:
    """Descriptions whose embedding no earlier one has. Equal rows may come out of a matrix product unequal in the last digit."""
    _, group = torch.unique(pool.cpu(), dim=0, return_inverse=True)
    first = torch.full((int(group.max()) + 1,), len(group)).scatter_reduce_(0, group, torch.arange(len(group)), "amin")
    return first.sort().values


def _without(texts: Float[Tensor, "heads r"], removed: list[Float[Tensor, "heads r"]]) -> Float[Tensor, "heads r"]:
    """The direction of what is left of `texts` outside the removed directions, which are orthonormal; length 1."""
    for direction in [*removed, *removed]:  # twice, since what rounding leaves of them would grow from pick to pick
        texts = texts - (texts * direction).sum(dim=-1, keepdim=True) * direction
    return texts / texts.norm(dim=-1, keepdim=True)


def span_projection(second: Float[Tensor, "heads r r"]) -> Float[Tensor, "heads r r"]:
    """Projection on the span of the uncentred contributions, up to float64's rounding."""
    values, vectors = torch.linalg.eigh(second)
    kept = vectors * (values > _rounding(second))[:, None, :]
    return kept @ kept.transpose(1, 2)


def _rounding(second: Float[Tensor, "heads r r"]) -> Float[Tensor, "heads 1"]:
    """What an eigenvalue of these moments may be by rounding alone."""
    largest = torch.linalg.eigvalsh(second).abs().amax(dim=-1)  # a tenth of the time of the same by singular values
    return (_RANK_MARGIN * second.shape[-1] * largest)[:, None]


def _check_dimensions(moments: HeadMoments, covariance: Tensor, second: Tensor, needed: int) -> None:
    rank = (torch.linalg.eigvalsh(covariance) > _rounding(second)).sum(dim=1)
    poor = [f"{head} ({int(r)})" for head, r in zip(moments.heads, rank, strict=True) if r < needed]
    if poor:
        raise CcsError(
            f"Over {moments.num_images} probe images the contributions of {len(poor)} heads vary in fewer than {needed} dimensions "
            f"({', '.join(poor[:6])}{' ...' if len(poor) > 6 else ''}), so {needed} descriptions cannot be told apart. Use more "
            "and more varied probe images (probe.num_images)."
        )


def _trace(matrices: Float[Tensor, "heads r r"]) -> Float[Tensor, " heads"]:
    return matrices.diagonal(dim1=1, dim2=2).sum(dim=-1)
