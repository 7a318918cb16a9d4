"""Artifacts: a trained model as files that score the same everywhere."""

from pipeline.artifact.errors import BadBatch as BadBatch
from pipeline.artifact.errors import ParityFailure as ParityFailure
from pipeline.artifact.load import Artifact as Artifact
from pipeline.artifact.load import load_artifact as load_artifact
from pipeline.artifact.load import load_golden as load_golden
from pipeline.artifact.save import record_verdict as record_verdict
from pipeline.artifact.save import save_candidate as save_candidate
from pipeline.artifact.vocabulary import Vocabulary as Vocabulary
