"""Opens an engine as it is to be trusted. What proves a plan that was rebuilt here is imported where there is one."""

from __future__ import annotations

from streamreid.compiling.machine import fingerprint
from streamreid.compiling.policy import LoadOptions, open_graph
from streamreid.compiling.records import BuildRecord
from streamreid.config import EngineConfig
from streamreid.reid.bundle import Bundle
from streamreid.reid.embedder import EngineEmbedder
from streamreid.runtimes import Runtime

__all__ = ["open_proven"]


def open_proven(bundle: Bundle, config: EngineConfig) -> EngineEmbedder:
    """Open an engine as configured; a plan that had to be rebuilt for this machine is compared with the reference
    before it is believed.

    Raises:
        EngineError: Nothing works here, or the bundle may not be used on this machine.
    """
    image = bundle.manifest.input.image()

    def failures(runtime: Runtime, record: BuildRecord) -> tuple[str, ...]:
        from streamreid.reid.engine_build import reference_embedder
        from streamreid.reid.parity import batch_sizes, judge, measure, widened
        from streamreid.reid.probe_set import generated_probe

        probe = generated_probe((bundle.manifest.input.height, bundle.manifest.input.width), 24)
        engine = EngineEmbedder(bundle, EngineConfig(batch=record.max_batch, min_height=0.0), runtime=runtime)
        report = measure(
            reference_embedder(bundle),
            engine,
            probe,
            batches=batch_sizes(min(record.max_batch, len(probe) - 1)),
            machine=fingerprint(record.target),
            reference_name=bundle.manifest.model,
        )
        return judge(report, widened(record.thresholds) if record.precision == "int8" else record.thresholds).failures

    opened = open_graph(
        bundle.compiled, LoadOptions.of(config), on_mismatch=config.on_mismatch, image=image, failures=failures
    )
    return EngineEmbedder(bundle, config, runtime=opened)
