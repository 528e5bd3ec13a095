"""Plan a study: build every row on the meta device, trace it, and sum up its costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_peft_compare.config.protocol import ROW_PROTOCOL
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.config.study import Study
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.models.frozen_trunk import Trunk, find_trunk
from hf_peft_compare.models.heads import head_of
from hf_peft_compare.models.loading import check_weights, has_weights
from hf_peft_compare.models.trainable_parameters import count_parameters
from hf_peft_compare.planning.calibration import find_calibrated, time_parts
from hf_peft_compare.planning.devices import MEASURED, Device, find_device
from hf_peft_compare.planning.estimates import (
    Counts,
    count_flops,
    count_parts,
    estimate_seconds,
    plan_memory,
    times,
    totals,
    trace_parts,
)
from hf_peft_compare.planning.fitting import describe_misfit
from hf_peft_compare.planning.lengths import Lengths, Shapes, batch_shapes, find_lengths
from hf_peft_compare.planning.meta_models import (
    AnyTokenizer,
    build_on_meta,
    check_lengths,
    local_tokenizer,
    made_up_features,
    plan_architecture,
    trace_base,
)
from hf_peft_compare.planning.notes import notes_on
from hf_peft_compare.planning.plan_types import PHASES, StudyPlan
from hf_peft_compare.planning.sharing import ALONE, Sharing, count_gathered_bytes, divided, read_sharing
from hf_peft_compare.planning.tuning_costs import plan_tuning
from hf_peft_compare.records.plan import RunPlan
from hf_peft_compare.training.hidden_state_cache import pays, planned_bytes
from hf_peft_compare.utils.bf16 import trains_in_bf16
from hf_peft_compare.utils.hashing import hash_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class SharedInputs:
    """The shared inputs of plans of rows that read the same data in the same format with the same head.

    Args:
        base: the base model on the meta device.
        tokenizer: a stub if the real one is not available locally.
        sharing: the processes of each run, one per device, and what they divide.
        calibrate: time a few steps of every row; the device must be this machine's.
    """

    base: Any
    tokenizer: Any
    lengths: Lengths
    device: Device
    sharing: Sharing = ALONE
    calibrate: bool = False


def plan_study(
    configs: Sequence[RunConfig], *, device: str | None = None, calibrate: bool = False, sharing: Sharing = ALONE
) -> StudyPlan:
    """Plan every run of a study; the seeds of a row share one plan.

    Nothing is downloaded if the study sets its architecture's `model_type`, and no weights are loaded.

    Args:
        configs: resolved runs that share their study's protocol.
        device: a name of `devices.DEVICES`, or "cpu"; None: this machine's device.
        calibrate: measure the rates of this machine's device, and time a few steps of every row on it.
        sharing: the processes of each run, and what they divide.

    Raises:
        UserError: an unknown device, an architecture that cannot be built, or settings that it does not support.
    """
    if calibrate and sharing.num_processes > 1:
        raise UserError(
            f"--calibrate times the steps of one process, but a run has {sharing.num_processes}; leave one of them out."
        )
    target = find_calibrated(device) if calibrate else find_device(device)
    plans: dict[str, RunPlan] = {}
    misfits: dict[str, str] = {}
    for group in grouped({config.row: config for config in configs}.values()):
        shared = _load_shared_inputs(group[0], target, calibrate=calibrate, sharing=sharing)
        plans |= {config.row: plan_run(config, shared) for config in group}
        misfits |= {c.row: _misfit(c, plans[c.row], shared) for c in group if not _fits(plans[c.row])}
    return StudyPlan(
        study=configs[0].study,
        device=target.title,
        runs=tuple(replace(plans[config.row], seed=config.seed) for config in configs),
        num_processes=sharing.num_processes,
        misfits={row: misfits[row] for row in plans if row in misfits},
    )


def plan_whole_study(
    study: Study,
    rows: Sequence[str] = (),
    *,
    device: str | None = None,
    calibrate: bool = False,
    num_processes: int | None = None,
    accelerate_config: Path | None = None,
) -> StudyPlan:
    """Plan the runs of a study, all or those of some rows, for all seeds, and the tuning before them."""
    sharing = read_sharing(num_processes, accelerate_config)
    plan = plan_study(configs_of(study, rows), device=device, calibrate=calibrate, sharing=sharing)
    return replace(plan, tuning=plan_tuning(study, {run.row: run for run in plan.runs}))


def _fits(plan: RunPlan) -> bool:
    return plan.memory is None or plan.memory.fits


def _misfit(config: RunConfig, plan: RunPlan, shared: SharedInputs) -> str:
    model = build_on_meta(config, shared.base, shared.tokenizer)
    return describe_misfit(
        config,
        plan,
        partial(plan_run, shared=replace(shared, calibrate=False)),
        num_processes=shared.sharing.num_processes,
        gathered_bytes=count_gathered_bytes(model),
        cuda=shared.device.cuda,
    )


def grouped(configs: Iterable[RunConfig]) -> list[list[RunConfig]]:
    """Group rows that share the inputs of their plans: data, format and head are the same."""
    groups: dict[str, list[RunConfig]] = {}
    for config in configs:
        asks = config.method_type.has_format
        own = config.method if asks else None
        settings = asdict(config)
        shared = [head_of(config).name, own, *(settings[key] for key in ROW_PROTOCOL)]
        groups.setdefault(hash_json(shared), []).append(config)
    return list(groups.values())


def _load_shared_inputs(config: RunConfig, device: Device, *, calibrate: bool, sharing: Sharing) -> SharedInputs:
    tokenizer = local_tokenizer(config)
    if has_weights(config):
        check_weights(config)
    return SharedInputs(
        base=trace_base(plan_architecture(config), head_of(config)),
        tokenizer=tokenizer or AnyTokenizer(),
        lengths=find_lengths(config, tokenizer),
        device=device,
        sharing=sharing,
        calibrate=calibrate,
    )


def configs_of(study: Study, rows: Sequence[str] = ()) -> list[RunConfig]:
    """Return the configs of the runs to plan, all or those of some rows.

    Raises:
        UserError: an unknown row, or a setting that does not resolve.
    """
    runs = [study.resolve(row=row, seed=seed) for seed in study.config.seeds for row in rows or study.config.methods]
    return [config for config, _ in runs]


def plan_run(config: RunConfig, shared: SharedInputs) -> RunPlan:
    """Return the plan of one run."""
    if not config.method_type.uses_model:
        return _empty_plan(config, shared)
    check_lengths(config, shared.base)
    return plan_model(config, build_on_meta(config, shared.base, shared.tokenizer), shared)


def plan_model(config: RunConfig, model: PreTrainedModel, shared: SharedInputs) -> RunPlan:
    """Return the plan of one run whose model is already on the meta device."""
    lengths, parameters, plan = shared.lengths, count_parameters(model), _empty_plan(config, shared)
    found = find_trunk(model)
    shapes = batch_shapes(config, lengths, num_processes=shared.sharing.num_processes)
    counts = count_parts(config, lengths.num_examples, shapes, num_processes=shared.sharing.num_processes)
    trunk = _kept_trunk(model, config, shared)
    plan = replace(
        plan,
        trainable_params=parameters["trainable_params"],
        total_params=parameters["total_params"],
        notes=[*(found.notes if found else []), *notes_on(plan, config, counts, lengths, shared.device)],
    )
    if counts.steps != 0:
        tokens = times(counts.steps, config.training.train_batch_size, shapes.train_tokens)
        plan = replace(
            plan,
            num_train_steps=counts.steps,
            micro_batch_size=shapes.train_mean.num_rows,
            train_width=shapes.train_mean.width,
            num_train_tokens=None if tokens is None else round(tokens),
            trunk_cache_bytes=_cache_bytes(trunk, config, lengths) if trunk else None,
        )
    return _with_costs(plan, config, model, shapes, counts, trunk, shared)


def _empty_plan(config: RunConfig, shared: SharedInputs) -> RunPlan:
    """Return the plan of a run that uses no model."""
    method, device = config.method_type, shared.device
    bf16 = trains_in_bf16(config, lambda: shared.base.config, native=device.bf16, cuda=device.cuda)
    return RunPlan(
        study=config.study,
        row=config.row,
        seed=config.seed,
        method=method.name,
        title=method.describe(config.method_settings)["title"],
        device=shared.device.title,
        precision="bf16" if bf16 else "fp32",
        flops=dict.fromkeys(PHASES, 0),
        seconds=dict.fromkeys(PHASES, 0),
        lengths_basis=shared.lengths.basis,
        time_basis=shared.device.basis,
    )


def _with_costs(
    plan: RunPlan,
    config: RunConfig,
    model: PreTrainedModel,
    shapes: Shapes,
    counts: Counts,
    trunk: Trunk | None,
    shared: SharedInputs,
) -> RunPlan:
    """Return a plan with memory, FLOPs and time added."""
    bf16, keeps_trunk = plan.precision == "bf16", trunk is not None
    try:
        traces = trace_parts(model, config, shapes, shared.device, bf16=bf16, trunk=trunk)
    except UserError:
        raise
    except Exception as error:  # model code may read values, which the meta device does not have
        return _untraced(plan, error)
    memory = divided(plan_memory(traces, shared.device), shared.sharing, count_gathered_bytes(model))
    seconds = estimate_seconds(traces, config, shared.device)
    plan = replace(
        plan,
        flops=totals(count_flops(traces, config), counts, keeps_trunk=keeps_trunk),
        seconds=totals(seconds, counts, keeps_trunk=keeps_trunk),
        memory=memory,
    )
    if not shared.calibrate:
        return plan
    if not memory.fits:
        return replace(plan, notes=[*plan.notes, "Not timed, since it does not fit."])
    seconds = time_parts(
        config, shared.base.config, shared.tokenizer, shapes, shared.device, bf16=bf16, keeps_trunk=keeps_trunk
    )
    return replace(plan, seconds=totals(seconds, counts, keeps_trunk=keeps_trunk), time_basis=MEASURED)


def _untraced(plan: RunPlan, error: Exception) -> RunPlan:
    reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    note = f"Memory, FLOPs and time are unknown: a step of this model cannot be traced without values ({reason})."
    return replace(plan, flops=dict.fromkeys(PHASES), seconds=dict.fromkeys(PHASES), notes=[*plan.notes, note])


def _kept_trunk(model: PreTrainedModel, config: RunConfig, shared: SharedInputs) -> Trunk | None:
    """Return the frozen trunk whose states the run will cache; None if there is none or caching does not pay."""
    trunk, num_train = find_trunk(model), shared.lengths.num_examples["train"]
    if trunk is None or num_train is None:
        return None
    if not pays(config, trunk=trunk, num_train=num_train, on_cpu=not shared.device.cuda):
        return None
    return trunk if _cache_bytes(trunk, config, shared.lengths) <= config.training.trunk_cache_max_bytes else None


def _cache_bytes(trunk: Trunk, config: RunConfig, lengths: Lengths) -> int:
    """Return the bytes of the states of train and validation examples, and of test examples if the states are small."""
    num_bytes = 0.0
    for split in ("train", "validation", *(["test"] if trunk.embeds else [])):
        cut = lengths.cut(split, config.max_text_length)
        rows = [made_up_features(n, completion) for n, completion in cut]
        num_bytes += planned_bytes(trunk, [rows]) / len(rows) * (lengths.num_examples[split] or 0)
    return round(num_bytes)
