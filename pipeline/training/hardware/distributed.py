"""A model over several processes: copied to each (DDP), or sharded among them (FSDP2).

Also how a sharded tensor becomes whole for a checkpoint, and how a whole one is sharded again.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from pipeline.common.processes import World
from pipeline.training.hardware import memory
from pipeline.training.loss import Objective
from transformer.decoder import Decoder, meta_decoder

NUMBERS_PER_WEIGHT = 4  # the weight, its gradient, and the optimizer's two
MEMORY_SHARE = 0.6  # for these; activations need the rest


def lay_out(objective: Objective, device: torch.device, world: World, sharding: str) -> nn.Module:
    """Bring the model of an objective to the device; returns what a training step calls.

    `sharding` is auto, always or never; auto shards when weights, gradients and optimizer states
    would not leave room on one device. A model that learns only in part is always copied.
    """
    if world.size == 1:
        return objective.to(device)
    learns = all(p.requires_grad for p in objective.model.parameters())
    if learns and any(world.all_reduce_sum(_too_large(objective.model, device, sharding))):
        _shard(objective, device)
        return objective
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # new name of an argument since torch 2.13
        return DistributedDataParallel(
            objective.to(device), broadcast_buffers=False, gradient_as_bucket_view=True
        )


def _too_large(model: Decoder, device: torch.device, sharding: str) -> bool:
    if sharding != "auto":
        return sharding == "always"
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    there = memory.total(device) / memory.processes_on(device)
    return NUMBERS_PER_WEIGHT * weights > MEMORY_SHARE * there


def _shard(objective: Objective, device: torch.device) -> None:
    """Each block's weights are gathered when it computes, and freed again (FSDP2).

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
    """Whether the model is sharded among the processes."""
    return any(isinstance(p, DTensor) for p in model.parameters())


def whole(tensor: Tensor) -> Tensor:
    """A tensor that may be sharded, whole; all processes must call it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(tensor: Tensor, model: Tensor) -> Tensor:
    """A whole tensor laid out as `model` is."""
    if not isinstance(model, DTensor):
        return tensor
    if tensor.shape != model.shape:
        return tensor.clone()  # it may be mapped
    shard = distribute_tensor(
        tensor.to(model.device), model.device_mesh, model.placements, src_data_rank=None
    )
    return shard.clone()  # the shard is a view, which would hold the whole tensor


def copy_whole(model: Decoder, world: World) -> Decoder:
    """An ordinary decoder on the first process's CPU, with the weights of a sharded one.

    All processes must call it; the others get their own back.
    """
    weights = {}
    for name, tensor in model.state_dict().items():
        gathered = whole(tensor)
        if world.leads:
            weights[name] = gathered.detach().cpu()
    if not world.leads:
        return model
    copied = meta_decoder(model.config)
    copied.load_state_dict(weights, assign=True)
    return copied
