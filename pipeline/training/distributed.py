"""A model laid out over several processes: copied to each (DDP), or cut up among them (FSDP2).

What the others need to know of it is here too: how a tensor that is cut up becomes whole again for
a checkpoint, and how a whole one from a checkpoint is cut up.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from pipeline.training import memory
from pipeline.training.loss import Objective
from pipeline.world import World
from transformer.decoder import Decoder

STATES = 4  # numbers kept for each that learns: weight, gradient, the optimizer's two
SHARE = 0.6  # of the memory for them; activations need the rest


def lay_out(model: Decoder, world: World, sharding: str) -> nn.Module:
    """The objective of a model over all processes; call it instead of the model.

    `sharding` is auto, always or never; auto cuts the model up when its weights, gradients and
    optimizer states would not leave room on one device. A model of which only a part learns
    is always copied.
    """
    objective = Objective(model)
    if world.size == 1:
        return objective
    if all(p.requires_grad for p in model.parameters()) and _cut(model, sharding):
        return _sharded(objective)
    from torch.nn.parallel import DistributedDataParallel

    return DistributedDataParallel(objective, broadcast_buffers=False)


def _cut(model: Decoder, sharding: str) -> bool:
    if sharding != "auto":
        return sharding == "always"
    device = model.tokens.weight.device
    needed = STATES * sum(p.numel() * p.element_size() for p in model.parameters())
    return needed > SHARE * memory.total(device) / memory.sharing(device)


def _sharded(objective: Objective) -> nn.Module:
    """Each block's weights are gathered when it computes, and forgotten again (FSDP2).

    So are those outside the blocks: kept from an evaluation, they could not be freed in training.
    """
    from torch.distributed import get_world_size
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    device = objective.model.tokens.weight.device
    mesh = init_device_mesh(device.type, (get_world_size(),))
    for block in objective.model.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(objective, mesh=mesh, reshard_after_forward=True)
    return objective


def is_sharded(model: nn.Module) -> bool:
    """Whether the model is cut up among the processes."""
    return any(isinstance(p, DTensor) for p in model.parameters())


def without_hooks(objective: nn.Module) -> nn.Module:
    """The objective to measure with: what exchanges gradients is left out."""
    return (
        objective if isinstance(objective, Objective) else getattr(objective, "module", objective)
    )


def without_sync(objective: nn.Module, last: bool) -> AbstractContextManager[object]:
    """Around a pass whose gradients are not the `last` of an update: they need no exchange yet."""
    no_sync = getattr(objective, "no_sync", None)
    return nullcontext() if last or no_sync is None else no_sync()


def whole(tensor: Tensor, wanted: bool = True) -> Tensor | None:
    """A tensor that may be cut up, whole on this process's CPU where it is `wanted`.

    All processes must call it.
    """
    found = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return found.detach().cpu() if wanted else None


def like(tensor: Tensor, model: Tensor) -> Tensor:
    """A whole tensor laid out as `model` is."""
    if not isinstance(model, DTensor) or tensor.shape != model.shape:
        return tensor
    return distribute_tensor(
        tensor.to(model.device), model.device_mesh, model.placements, src_data_rank=None
    )


def norm(gradients: Tensor) -> float:
    """A norm that may be spread over processes, as a number."""
    return float(gradients.full_tensor() if isinstance(gradients, DTensor) else gradients)


def copy_whole(model: Decoder) -> Decoder:
    """An ordinary decoder on the CPU with the weights of one that is cut up.

    All processes must call it.
    """
    weights = {name: whole(tensor) for name, tensor in model.state_dict().items()}
    copied = Decoder(model.config)
    copied.load_state_dict(weights)
    return copied
