"""Evaluators that ask what files of the user's say."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.evaluator import Evaluator
from modelwright_plugins.evaluator._records import fingerprint


class OfFiles(Evaluator):
    """It can read its files before anything is trained, and other contents make another evaluation."""

    @property
    @abstractmethod
    def files(self) -> tuple[Path, ...]:
        """What it reads."""

    @abstractmethod
    def read(self) -> Any:
        """What is in them. ModelwrightError, in one line that names the file: what is wrong."""

    def fingerprint(self) -> str:
        return fingerprint(*self.files)

    def problems(self) -> list[str]:
        try:
            self.read()
        except ModelwrightError as e:
            return [str(e)]
        return []
