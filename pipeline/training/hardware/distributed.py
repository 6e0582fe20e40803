"""A model laid out over several processes: copied to each, or cut up among them (FSDP2).

What the others need to know of it is here too: how a tensor that is cut up becomes whole again for
a checkpoint, and how a whole one from a checkpoint is cut up.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from pipeline.common.processes import World
from pipeline.training.hardware import memory
from pipeline.training.loss import Objective
from transformer.decoder import Decoder, meta_decoder

STATES = 4  # numbers kept for each that learns: weight, gradient, the optimizer's two
SHARE = 0.6  # of the memory for them; activations need the rest


def lay_out(objective: Objective, device: torch.device, world: World, sharding: str) -> None:
    """Bring the model of an objective to the device: whole, or this process's share of it.

    `sharding` is auto, always or never; auto cuts the model up when its weights, gradients and
    optimizer states would not leave room on one device. A model of which only a part learns is
    always copied.
    """
    learns = all(p.requires_grad for p in objective.model.parameters())
    if world.size > 1 and learns and any(world.total(_cut(objective.model, device, sharding))):
        _shard(objective, device)
    else:
        objective.to(device)


def _cut(model: Decoder, device: torch.device, sharding: str) -> bool:
    if sharding != "auto":
        return sharding == "always"
    needed = STATES * sum(p.numel() * p.element_size() for p in model.parameters())
    return needed > SHARE * memory.total(device) / memory.sharing(device)


def _shard(objective: Objective, device: torch.device) -> None:
    """Each block's weights are gathered when it computes, and forgotten again (FSDP2).

    So are those outside the blocks: kept from an evaluation, they could not be freed in training.
    A model on the CPU goes to the device block by block, so that no more than one is whole there.
    """
    from torch.distributed import get_world_size
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (get_world_size(),))
    for block in objective.model.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(objective, mesh=mesh, reshard_after_forward=True)


def is_sharded(model: nn.Module) -> bool:
    """Whether the model is cut up among the processes."""
    return any(isinstance(p, DTensor) for p in model.parameters())


def whole(tensor: Tensor, wanted: bool = True) -> Tensor | None:
    """A tensor that may be cut up, whole on this process's CPU where it is `wanted`.

    All processes must call it.
    """
    found = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return found.detach().cpu() if wanted else None


def like(tensor: Tensor, model: Tensor) -> Tensor:
    """A whole tensor laid out as `model` is."""
    if not isinstance(model, DTensor):
        return tensor
    if tensor.shape != model.shape:
        return tensor.clone()  # it may be mapped
    cut = distribute_tensor(
        tensor.to(model.device), model.device_mesh, model.placements, src_data_rank=None
    )
    return cut.clone()  # a share by itself: the cut is a view that holds the whole


def norm(gradients: Tensor) -> float:
    """A norm that may be spread over processes, as a number."""
    return float(gradients.full_tensor() if isinstance(gradients, DTensor) else gradients)


def copy_whole(model: Decoder, wanted: bool) -> Decoder | None:
    """An ordinary decoder on the CPU with the weights of one that is cut up, where it is `wanted`.

    All processes must call it.
    """
    weights = {name: whole(tensor, wanted) for name, tensor in model.state_dict().items()}
    if not wanted:
        return None
    copied = meta_decoder(model.config)
    copied.load_state_dict(weights, assign=True)
    return copied
