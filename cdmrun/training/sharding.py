"""Trunks kept in shards: each process of a group holds its piece of every weight, and of all that belongs to it.

PyTorch's FSDP2 gathers the weights of a block when it is called, and again for its gradient, and leaves each process
its piece of the mean gradient. Optimiser and moving average see nothing but pieces, as plain tensors over the same
memory: they work number by number, so the steps are those of whole weights, and none of them has to know.

What is not a trunk stays whole, as heads, which are asked by more methods than `forward` and are small.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cdmrun.errors import UserError
from cdmrun.models.compiling import compile_blocks
from cdmrun.models.trunk import Trunk
from cdmrun.training.group import PATIENCE, Group


class Shards:
    """Which parameters a group keeps in shards, and this process's pieces of them; none if it is alone.

    While models are sharded their trunks are stand-ins, and the trunks themselves, set aside, have no numbers.
    Processes must call a sharded model equally often, and in the same order: each call is an exchange.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        self._mesh: Any = None
        self._aside: list[tuple[nn.Module, str, Trunk]] = []  # the trunk that belongs at this place of a module
        self._parameters: dict[int, tuple[nn.Parameter, Any]] = {}  # piece and sharded parameter, by id of the piece

    def shard(self, models: Sequence[nn.Module], calls_only: Sequence[nn.Module] = ()) -> None:
        """Keep the trunks of some models in shards from now on; ``calls_only`` are those that get no gradients."""
        if self.group.size == 1:
            return
        for model in (*models, *calls_only):
            for parent in list(model.modules()):
                for name, trunk in list(parent.named_children()):
                    if isinstance(trunk, Trunk):
                        self._shard_trunk(parent, name, trunk, model in calls_only)

    @property
    def exist(self) -> bool:
        """Whether anything is in shards."""
        return self._mesh is not None

    def leaders_word(self, word: bool) -> bool:
        """What the leader says of something that all must do together if there are shards, and else for themselves."""
        return self.group.leaders_word(word) if self.exist else word

    def restore(self) -> None:
        """Put whole weights back, on every process; who held a model, a trunk or a parameter holds it as before."""
        for parent, name, trunk in self._aside:
            for empty, parameter in zip(trunk.parameters(), getattr(parent, name).parameters(), strict=True):
                empty.data = parameter.detach().full_tensor()
            setattr(parent, name, trunk)
        self._aside, self._parameters, self._mesh = [], {}, None

    def held(self, parameter: nn.Parameter) -> nn.Parameter:
        """What this process holds of a parameter: all of it, or a plain one over the memory of its piece."""
        if not hasattr(parameter, "to_local"):
            return parameter
        sharded: Any = parameter
        piece = nn.Parameter(sharded.detach().to_local())
        self._parameters[id(piece)] = piece, parameter
        return piece

    def whole(self, parameters: Sequence[nn.Parameter]) -> list[nn.Parameter]:
        """Those that are not pieces."""
        return [p for p in parameters if id(p) not in self._parameters]

    def take_gradients(self) -> None:
        """Give the pieces the gradients that a backward pass left."""
        for piece, parameter in self._parameters.values():
            if piece.data_ptr() != parameter.to_local().data_ptr():  # steps would then go nowhere
                raise RuntimeError("FSDP2 has moved its shards to other memory")
            piece.grad = None if parameter.grad is None else parameter.grad.to_local()
            parameter.grad = None

    def clip(self, parameters: Sequence[nn.Parameter], largest: float) -> Tensor:
        """Scale gradients down to a norm of all of them together, which is returned: the same on every process."""
        whole = self.whole(parameters)
        if len(whole) == len(parameters):
            return nn.utils.clip_grad_norm_(parameters, largest)
        pieces = [p for p in parameters if id(p) in self._parameters]
        squares = _norm(pieces).square()
        dist.all_reduce(squares)
        norm = (squares + _norm(whole).to(squares.device).square()).sqrt().float()
        nn.utils.clip_grads_with_norm_(parameters, largest, norm)
        return norm

    def gathered(self, piece: nn.Parameter, value: Tensor) -> Tensor:
        """A tensor of which this process holds what it holds of a parameter, in full: for the leader, in its memory.

        All processes ask at once; the others get nothing.
        """
        if id(piece) not in self._parameters:
            return value
        from torch.distributed.tensor import DTensor

        like = self._parameters[id(piece)][1]
        options = {"run_check": False, "shape": like.shape, "stride": like.stride()}
        return self._in_full(DTensor.from_local(value, self._mesh, like.placements, **options))

    def part(self, piece: nn.Parameter, value: Tensor) -> Tensor:
        """What `gathered` gathered, as this process holds it."""
        if id(piece) not in self._parameters:
            return value
        rows = value.chunk(self.group.size)  # as FSDP2 divides; the last may get none
        return rows[self.group.rank].clone() if self.group.rank < len(rows) else value[:0].clone()

    def state_dict(self, model: nn.Module) -> dict[str, Tensor]:
        """The state of a model in full; as `gathered`, for the leader."""
        return {name: self._in_full(value) for name, value in model.state_dict().items()}

    def _in_full(self, value: Any) -> Tensor:
        if not hasattr(value, "full_tensor"):
            whole: Tensor = value
            return whole
        full: Tensor = value.full_tensor()  # one at a time on the device, as more might not fit
        return full.cpu() if self.group.leads else full.new_empty(0)

    def _shard_trunk(self, parent: nn.Module, name: str, trunk: Trunk, calls_only: bool) -> None:
        fully_shard = _fully_shard()
        self._mesh = _mesh(dist.group.WORLD, next(trunk.parameters()).device.type)
        stand_in = _same_memory(trunk)
        if trunk.compiled:
            compile_blocks(stand_in)
        for module in (*stand_in.blocks, stand_in):
            fully_shard(module, mesh=self._mesh, reshard_after_forward=True)
        if calls_only:  # FSDP2 notes each call for the backward pass that ends them; without one its notes only grow
            stand_in.register_forward_hook(lambda module, *_: module.reset_iter_state())
        self._aside.append((parent, name, trunk))
        setattr(parent, name, stand_in)
        for parameter in trunk.parameters():
            parameter.data = parameter.data.new_empty(0)


def _fully_shard() -> Any:
    """FSDP2's, if it is one of those that let go of a trunk after calls without a gradient, as older ones do not."""
    from torch.distributed import fsdp

    if not hasattr(getattr(fsdp, "FSDPModule", None), "reset_iter_state"):
        raise UserError(
            f"train.shard needs the FSDP2 of a later PyTorch than {torch.__version__}, such as that of 2.13",
            "update PyTorch, or leave train.shard out: other machines take the same checkpoints without it",
        )
    return fsdp.fully_shard


@cache
def _mesh(world: Any, device: str) -> Any:
    """Who exchanges shards: all, over a group of their own, so that `Averaging` may exchange in any order meanwhile.

    One for all trainings of these processes, since PyTorch remembers how it gathered what has the same form.
    """
    from torch.distributed.device_mesh import DeviceMesh

    return DeviceMesh.from_group(dist.new_group(timeout=PATIENCE), device)


def _same_memory(trunk: Trunk) -> Trunk:
    """A copy of a trunk whose parameters and buffers are over the memory of the original's."""
    memo: dict[int, Any] = {id(p): nn.Parameter(p.detach(), p.requires_grad) for p in trunk.parameters()}
    return copy.deepcopy(trunk, memo | {id(buffer): buffer for buffer in trunk.buffers()})


def _norm(parameters: Sequence[nn.Parameter]) -> Tensor:
    """The norm of the gradients of some parameters, float64."""
    return nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]).double()
