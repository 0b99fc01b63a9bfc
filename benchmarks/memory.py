"""What the processes of one side take."""

import psutil


def largest_of(supervisor: psutil.Process) -> int:
    """Resident bytes of the largest process below the supervisor."""
    sizes = [0]
    for process in supervisor.children(recursive=True):
        try:
            sizes.append(process.memory_info().rss)
        except psutil.NoSuchProcess:
            continue
    return max(sizes)
