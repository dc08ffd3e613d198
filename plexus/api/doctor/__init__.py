"""What keeps this machine from its gateway, looked at one by one: each finding says what is, and what to do.

    for finding in examine():
        print(finding.state, finding.check, finding.said, finding.advice)

    findings      what a finding is
    seen          what the probes saw, without a judgement
    verdicts      what was seen, judged; pure
    hosts         the addresses of the settings, taken together by host; pure
    probes        what is seen over the network: names, TCP, certificates, answers; no judgement
    network       the hosts one by one, each up to the first thing that fails
    access        the key, and what it may do
    disk          the spool, its directory, and the room there
    software      versions, and the libraries that are optional

Nothing here changes anything: no reading is sent, and no spool is opened for writing.
"""

from __future__ import annotations

from plexus.api.doctor.examining import TIMEOUT_S, examine
from plexus.api.doctor.findings import Finding, State

__all__ = ["TIMEOUT_S", "Finding", "State", "examine"]
