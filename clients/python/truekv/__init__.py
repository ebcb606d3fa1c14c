"""Client for truekvd, the KV-cache daemon that can prove its caches are right.

with truekv.Client("unix:/run/truekv/truekv.sock") as kv:
    seq = kv.create(label="request 17").seq
    kv.append([seq], [block], pos=[0])     # block: [layers, 2, n_kv_heads, tokens, head_dim]
    k, v = kv.read(seq, layers=(0, 1))[0]  # each [n_kv_heads, tokens, head_dim]
    assert kv.verify().ok
"""

from truekv import bf16, requests
from truekv.client import Client, Pipeline
from truekv.connection import Pending
from truekv.errors import (
    AlreadyExists,
    BackendFailed,
    CapacityExceeded,
    ConnectionLost,
    Draining,
    InternalError,
    InvalidParams,
    InvalidRequest,
    MethodNotFound,
    NotFound,
    NotSupported,
    OutOfMemory,
    OutOfRange,
    Overloaded,
    ParseError,
    PermissionDenied,
    PositionMismatch,
    ProtocolError,
    RequestTimeout,
    TooLarge,
    TruekvError,
)
from truekv.results import (
    Appended,
    Created,
    Damage,
    Device,
    Divergence,
    DivergenceMap,
    Journal,
    LastReport,
    Limits,
    LogLevel,
    Model,
    Reloaded,
    ScrubReport,
    SelftestItem,
    SelftestReport,
    SequenceInfo,
    SequencePage,
    ServerInfo,
    VerifyReport,
)

__version__ = "0.1.0"

__all__ = [
    "AlreadyExists",
    "Appended",
    "BackendFailed",
    "CapacityExceeded",
    "Client",
    "ConnectionLost",
    "Created",
    "Damage",
    "Device",
    "Divergence",
    "DivergenceMap",
    "Draining",
    "InternalError",
    "InvalidParams",
    "InvalidRequest",
    "Journal",
    "LastReport",
    "Limits",
    "LogLevel",
    "MethodNotFound",
    "Model",
    "NotFound",
    "NotSupported",
    "OutOfMemory",
    "OutOfRange",
    "Overloaded",
    "ParseError",
    "Pending",
    "PermissionDenied",
    "Pipeline",
    "PositionMismatch",
    "ProtocolError",
    "Reloaded",
    "RequestTimeout",
    "ScrubReport",
    "SelftestItem",
    "SelftestReport",
    "SequenceInfo",
    "SequencePage",
    "ServerInfo",
    "TooLarge",
    "TruekvError",
    "VerifyReport",
    "bf16",
    "requests",
]
