"""The configuration of the personal pool."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.parts.equipment import Equipment
    from tests.pool.prefix import Programs

# One partitionable slot: as fast as static ones, and a job gets what it asks for. More cpus than the machine has,
# since test jobs sleep or wait for HTCondor more than they compute.
CPUS = 16

TEXT = """\
# Written by tests/pool when it starts the pool; changes here are lost.
RELEASE_DIR = {programs.release}
BIN = {programs.bin}
SBIN = {programs.sbin}
LIB = {programs.lib}
LIBEXEC = {programs.libexec}
LOCAL_DIR = {directory}
LOCAL_CONFIG_DIR =
LOCAL_CONFIG_FILE = {more}
EXECUTE = $(LOCAL_DIR)/execute
LOCK = $(LOCAL_DIR)/lock
LOG = $(LOCAL_DIR)/log
RUN = $(LOCAL_DIR)/run
SPOOL = $(LOCAL_DIR)/spool
SEC_PASSWORD_DIRECTORY = $(LOCAL_DIR)/passwords.d
SEC_TOKEN_DIRECTORY = $(LOCAL_DIR)/tokens.d
SEC_TOKEN_SYSTEM_DIRECTORY = $(LOCAL_DIR)/tokens.d
use ROLE: Personal

# Nothing is heard outside this machine, and nobody but this user is let in.
NETWORK_INTERFACE = 127.0.0.1
# Without it every command spends a minute on looking up the machine's own name where no name service knows it.
NETWORK_HOSTNAME = localhost
COLLECTOR_HOST = 127.0.0.1:0
SHARED_PORT_PORT = 0
MASTER_ADDRESS_FILE = $(LOG)/.master_address
COLLECTOR_ADDRESS_FILE = $(LOG)/.collector_address
SCHEDD_ADDRESS_FILE = $(LOG)/.schedd_address
SEC_DEFAULT_AUTHENTICATION = REQUIRED
SEC_DEFAULT_AUTHENTICATION_METHODS = FS
ONLY_ME = $(USERNAME)@$(UID_DOMAIN)
ALLOW_READ = $(ONLY_ME)
ALLOW_WRITE = $(ONLY_ME)
ALLOW_DAEMON = $(ONLY_ME)
ALLOW_NEGOTIATOR = $(ONLY_ME)
ALLOW_ADMINISTRATOR = $(ONLY_ME)
MAIL = /bin/true
SENDMAIL = /bin/true

# Tests wait for nothing longer than a second, and a lost queue is no loss.
NEGOTIATOR_INTERVAL = 1
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
SCHEDD_INTERVAL = 1
SCHEDD_MIN_INTERVAL = 1
UPDATE_INTERVAL = 1
POLLING_INTERVAL = 1
STARTER_UPDATE_INTERVAL = 1
STARTER_INITIAL_UPDATE_INTERVAL = 1
MachineMaxVacateTime = 30
CONDOR_FSYNC = False
ENABLE_USERLOG_FSYNC = False
RunBenchmarks = False

NUM_CPUS = {cpus}
NUM_SLOTS = 1
NUM_SLOTS_TYPE_1 = 1
SLOT_TYPE_1 = 100%
SLOT_TYPE_1_PARTITIONABLE = True

# Memory is limited, as it is where there are control groups, but only that of jobs that have +LimitMemory = true; by
# what they ask for, since a claim that the schedd uses again may be on a larger slot.
use POLICY : HOLD_IF_MEMORY_EXCEEDED
MEMORY_EXCEEDED = (TARGET.LimitMemory =?= true && TARGET.MemoryUsage > TARGET.RequestMemory) =?= true

# That of the tests, which jobs find as python3 where it matters.
PythonVersion = "{python}"
STARTD_ATTRS = $(STARTD_ATTRS) PythonVersion
"""


def text(directory: Path, programs: Programs, equipment: Equipment) -> str:
    """Return the pool's configuration; `HTRUN_TEST_POOL_CONFIG` may name a file with further settings."""
    more = os.environ.get("HTRUN_TEST_POOL_CONFIG", "")
    own = TEXT.format(directory=directory, programs=programs, more=more, cpus=CPUS, python=platform.python_version())
    return own + equipment.config()
