"""Runs a program as deploy/truekvd.service confines it, without systemd: its system call filter (what is not
allowed fails with EPERM), no memory that is written and executed, no new privileges.

  confined.py PROGRAM [ARGUMENT]...
  confined.py --list                     the numbers of the calls that are allowed, as JSON
  confined.py --calls FILE PROGRAM ...   the same with such a list, where there is no systemd-analyze
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

UNIT = Path(__file__).resolve().parents[2] / "deploy/truekvd.service"
NUMBERS = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_SET_MDWE = 22, 38, 65
SECCOMP_MODE_FILTER, MDWE_REFUSE_EXEC_GAIN = 2, 1
ALLOW, FAIL_WITH_EPERM = 0x7FFF0000, 0x00050001
BPF_LOAD_NUMBER, BPF_JUMP_EQUAL, BPF_RETURN = 0x20, 0x15, 0x06


def group(name: str) -> set[str]:
    """The calls of a group such as @system-service, with those of the groups in it."""
    command = ["systemd-analyze", "syscall-filter", "--no-pager", name]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    words = [line.strip() for line in lines[1:] if line.strip() and not line.strip().startswith("#")]
    return {call for word in words for call in (group(word) if word.startswith("@") else {word})}


def allowed_calls() -> set[str]:
    """As the unit's SystemCallFilter= lines say, one after the other; @default always is."""
    calls = group("@default")
    for line in re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.MULTILINE):
        without = line.startswith("~")
        for word in line.lstrip("~").split():
            named = group(word) if word.startswith("@") else {word}
            calls = calls - named if without else calls | named
    return calls


def allowed_numbers() -> list[int]:
    found = re.findall(r"^#define __NR_(\w+) (\d+)$", NUMBERS.read_text(), re.MULTILINE)
    numbers = {name: int(number) for name, number in found}
    return sorted(numbers[call] for call in allowed_calls() if call in numbers)


def instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


def confine(numbers: list[int]) -> None:
    code = instruction(BPF_LOAD_NUMBER, 0, 0, 0)
    for number in numbers:
        code += instruction(BPF_JUMP_EQUAL, 0, 1, number) + instruction(BPF_RETURN, 0, 0, ALLOW)
    code += instruction(BPF_RETURN, 0, 0, FAIL_WITH_EPERM)
    memory = ctypes.create_string_buffer(code)
    program = Program(len(code) // 8, ctypes.addressof(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        sys.exit("confined.py: no_new_privs is not to be had")
    if libc.prctl(PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) != 0:
        print("confined.py: this kernel cannot refuse writable executable memory", file=sys.stderr)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        sys.exit(f"confined.py: {os.strerror(ctypes.get_errno())}")


def main() -> None:
    words = sys.argv[1:]
    if words == ["--list"]:
        print(json.dumps(allowed_numbers()))
        return
    if words[:1] == ["--calls"]:
        numbers, words = json.loads(Path(words[1]).read_text()), words[2:]
    else:
        numbers = allowed_numbers()
    confine(numbers)
    os.execv(words[0], words)


if __name__ == "__main__":
    main()
