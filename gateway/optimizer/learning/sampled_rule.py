"""Sampled rule: the choice of the sampled policy, as it follows from the ratios of a trial. The baseline offline."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from gateway.errors import RequestRefused
from gateway.optimizer.decisions.deciding import Chains
from gateway.optimizer.delivery_cost import EncodingFigures
from gateway.optimizer.history.record import ShadowTrial
from gateway.protocol.dtypes import BYTE, DTypeLike, dtype_named
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.sampling import chosen_chain, chosen_delta


def usual_chains(figures: Iterable[EncodingFigures], trial: ShadowTrial, codecs: Collection[str]) -> Chains:
    """Return the chains that the sampled policy would choose.

    Args:
        figures: of chains; one without figures makes nothing smaller.
        trial: of the stream, for its dtype.
        codecs: codecs and filters that the receivers know.
    """
    ratios = {each.chain: each.ratio for each in figures}

    def ratio_of(chain: Chain) -> float:
        return ratios.get(str(chain), 1.0)

    element = element_of(trial)
    chain = chosen_chain(ratio_of, element, codecs, codecs)
    if not trial.based:
        return Chains(chain, None)
    delta = chosen_delta(ratio_of, element, codecs, codecs, integers=is_integer(trial))
    return Chains(chain, None if delta == PLAIN else delta)


def is_integer(trial: ShadowTrial) -> bool:
    """Return whether the elements of a stream are integers."""
    return trial.dtype.startswith(("int", "uint"))


def element_of(trial: ShadowTrial) -> DTypeLike:
    """Return the dtype of the elements of a stream; single bytes for mixed tensors, or a dtype of a later gateway."""
    try:
        return dtype_named(trial.dtype)
    except RequestRefused:
        return BYTE
