"""The one door to bytes, and the manifest that makes a folder of files a dataset."""

from pipeline.storage.compressed import Drain as Drain
from pipeline.storage.compressed import compressed as compressed
from pipeline.storage.compressed import decompressed as decompressed
from pipeline.storage.compressed import refuse_unread as refuse_unread
from pipeline.storage.files import Files as Files
from pipeline.storage.files import LocalFiles as LocalFiles
from pipeline.storage.files import files_at as files_at
from pipeline.storage.files import is_temporary as is_temporary
from pipeline.storage.files import path_of as path_of
from pipeline.storage.manifest import DATA as DATA
from pipeline.storage.manifest import GRACE_S as GRACE_S
from pipeline.storage.manifest import MANIFEST as MANIFEST
from pipeline.storage.manifest import FileEntry as FileEntry
from pipeline.storage.manifest import Manifest as Manifest
from pipeline.storage.manifest import data_files as data_files
from pipeline.storage.manifest import describe_file as describe_file
from pipeline.storage.manifest import digest_of as digest_of
from pipeline.storage.manifest import has_manifest as has_manifest
from pipeline.storage.manifest import read_manifest as read_manifest
from pipeline.storage.manifest import sweep as sweep
from pipeline.storage.manifest import write_manifest as write_manifest
from pipeline.storage.versions import MOST_VERSIONS as MOST_VERSIONS
from pipeline.storage.versions import published_versions as published_versions
from pipeline.storage.versions import serving_version as serving_version
from pipeline.storage.warehouse import OF_THE_BASE as OF_THE_BASE
from pipeline.storage.warehouse import Warehouse as Warehouse
