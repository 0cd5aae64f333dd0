"""Becomes a program under seccomp profiles, as the user that a container runtime or systemd would make it.

    under_seccomp.py [--user UID] PROFILE… -- PROGRAM ARGUMENT…

A profile is a file in the form of container runtimes (Docker, Kubernetes): a default action, and calls with actions and conditions
on their arguments. Several are loaded one after the other; of their answers the strictest counts, as in the kernel.
"""

import argparse
import ctypes
import json
import os
import sys

import pyseccomp as seccomp

PR_SET_NO_NEW_PRIVS = 38
PR_CAPBSET_DROP = 24
# Capabilities have numbers below this one.
CAPABILITIES = 64
COMPARISONS = {
    "SCMP_CMP_EQ": seccomp.EQ,
    "SCMP_CMP_NE": seccomp.NE,
    "SCMP_CMP_MASKED_EQ": seccomp.MASKED_EQ,
}


def action(name, errno):
    if name == "SCMP_ACT_ERRNO":
        return seccomp.ERRNO(errno)
    return {"SCMP_ACT_ALLOW": seccomp.ALLOW, "SCMP_ACT_KILL_PROCESS": seccomp.KILL_PROCESS}[name]


def condition(argument):
    comparison = COMPARISONS[argument["op"]]
    return seccomp.Arg(argument["index"], comparison, argument["value"], argument.get("valueTwo", 0))


def is_known(call):
    try:
        return seccomp.resolve_syscall(seccomp.Arch.NATIVE, call) >= 0
    except ValueError:
        return False


def load(profile):
    default = action(profile["defaultAction"], profile.get("defaultErrnoRet", 1))
    made = seccomp.SyscallFilter(default)
    for rule in profile["syscalls"]:
        answer = action(rule["action"], rule.get("errnoRet", 1))
        conditions = [condition(argument) for argument in rule.get("args", [])]
        # Calls of other architectures and newer kernels than libseccomp knows.
        for call in filter(is_known, rule["names"]):
            made.add_rule(answer, call, *conditions)
    made.load()


def prctl(*arguments):
    return ctypes.CDLL(None, use_errno=True).prctl(*(ctypes.c_ulong(argument) for argument in arguments))


def main():
    ours, program = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
    parser = argparse.ArgumentParser()
    parser.add_argument("--user", type=int)
    parser.add_argument("profiles", nargs="+", type=argparse.FileType())
    options = parser.parse_args(ours)
    profiles = [json.load(file) for file in options.profiles]
    if options.user:
        for capability in range(CAPABILITIES):
            prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        os.setgroups([options.user])
        os.setresgid(options.user, options.user, options.user)
        # Of a user who is not root, no capabilities are left.
        os.setresuid(options.user, options.user, options.user)
    assert prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    for profile in profiles:
        load(profile)
    os.execvp(program[0], program)


if __name__ == "__main__":
    main()
