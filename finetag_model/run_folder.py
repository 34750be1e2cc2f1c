"""A training on disk: its options, its metrics after every epoch, and how to go on after a kill.

    config.toml         the options; `finetag-train --config RUN/config.toml` runs them again
    metrics.csv         a row an epoch
    curves.png          the same as a picture; needs the extra `plots`
    state.safetensors   after the last whole epoch: weights, optimiser, what is in metrics.csv
    maps-N.npy          maps of the lower trunk for stage N, gone once the training is done

Training itself knows none of these files; `recipe` calls this.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from finetag_model.errors import DataError, FineTagError, UsageError
from finetag_model.files import replacing
from finetag_model.training import State

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Epoch:
    """One pass over the pictures; a row of metrics.csv.

    Attributes:
        stage: from 1.
        epoch: of the stage, from 1.
        loss: mean over the steps, dropout included.
        held_out_loss: mean over the pictures held out for the calibration.
        seconds: of the epoch.
    """

    stage: int
    epoch: int
    loss: float
    held_out_loss: float
    seconds: float


class RunFolder:
    """The files of one training.

    Attributes:
        path: the folder.
        history: the epochs done so far.
        saved: state of the stage that was stopped, with its number from 1; None at the start.
    """

    def __init__(self, path: Path, options: Mapping[str, Any]) -> None:
        """Open the folder of a new training, or of one that was stopped, to go on with it.

        Args:
            path: made where it is missing.
            options: what decides the result, by name of option; a list or a single value
                each, None where not given.

        Raises:
            UsageError: it holds a training with other options, or files of something else.
            FineTagError: it cannot be read or written.
        """
        self.path = path
        self.history: list[Epoch] = []
        self.saved: tuple[int, State] | None = None
        text = _toml(options)
        config, self._state = path / "config.toml", path / "state.safetensors"
        with _plain_errors(path):
            path.mkdir(parents=True, exist_ok=True)
            if config.exists():
                _check_same(config, text)
                if self._state.exists():
                    self._load()
            elif any(path.iterdir()):
                raise UsageError(f"{path} holds other files; name a new folder for the run")
            else:
                with replacing(config) as partial:
                    partial.write_text(text, encoding="utf-8")

    def maps(self, stage: int) -> Path:
        """Return where the maps of a stage lie; whole if the file is there."""
        return self.path / f"maps-{stage}.npy"

    def save(self, stage: int, state: State, epoch: Epoch) -> None:
        """Note an epoch and keep what is needed to go on from it.

        Raises:
            FineTagError: the folder cannot be written.
        """
        self.history.append(epoch)
        history = [asdict(each) for each in self.history]
        header = {"stage": stage, "values": state.values, "history": history}
        tensors = {name: tensor.contiguous() for name, tensor in state.tensors.items()}
        with _plain_errors(self.path):
            with replacing(self._state) as partial:
                save_file(tensors, partial, {"finetag-run": json.dumps(header)})
            with (
                replacing(self.path / "metrics.csv") as partial,
                partial.open("w", newline="", encoding="utf-8") as file,
            ):
                rows = csv.DictWriter(
                    file, [field.name for field in fields(Epoch)], lineterminator="\n"
                )
                rows.writeheader()
                rows.writerows(history)

    def finish(self) -> None:
        """Draw the curves where matplotlib is installed; remove the maps, which take most room.

        Raises:
            FineTagError: the folder cannot be written.
        """
        if find_spec("matplotlib"):
            from finetag_model.plots import draw_curves  # noqa: PLC0415

            draw_curves(self.history, self.path / "curves.png")
        for path in self.path.glob("maps-*.npy"):
            path.unlink()

    def _load(self) -> None:
        try:
            with safe_open(self._state, framework="pt") as file:
                header = json.loads((file.metadata() or {})["finetag-run"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            self.history = [Epoch(**each) for each in header["history"]]
            self.saved = header["stage"], State(tensors, header["values"])
        except (KeyError, SafetensorError, TypeError, ValueError) as error:
            raise DataError(
                f"{self._state} is damaged ({error}); remove it to start this run again"
            ) from None


@contextmanager
def opened_run(path: Path | None, options: Mapping[str, Any]) -> Iterator[RunFolder]:
    """Open a run folder and finish it; None is a folder that is gone afterwards."""
    if path is not None:
        run = RunFolder(path, options)
        yield run
        run.finish()
        return
    with TemporaryDirectory() as temporary:
        yield RunFolder(Path(temporary), options)


def _check_same(config: Path, text: str) -> None:
    """Refuse to go on with other options than a run began with."""
    before, now = (set(each.splitlines()) for each in (config.read_text(encoding="utf-8"), text))
    if before != now:
        different = sorted({line.partition(" = ")[0] for line in before ^ now})
        raise UsageError(
            f"{config.parent} holds a training with other options ({', '.join(different)}); "
            "name another folder, or remove this one"
        )


def _toml(options: Mapping[str, Any]) -> str:
    """Return options as `--config` reads them; strings of JSON are strings of TOML."""
    return "".join(
        f"{name} = {json.dumps(value, ensure_ascii=False)}\n"
        for name, value in options.items()
        if value is not None
    )


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FineTagError(f"cannot use the run folder {path}: {error.strerror}") from None
    except SafetensorError as error:  # how safetensors reports a full disk
        raise FineTagError(f"cannot write {path / 'state.safetensors'}: {error}") from None
