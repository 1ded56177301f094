"""Which shard serves a space, where several processes share the spaces among them without talking to each other."""

from hashlib import sha256


def shard_of(space: str, shards: int) -> int:
    """Return the one shard, from 0 on, that the space falls on.

    By rendezvous hashing: the shard whose hash together with the space is the highest. One more shard so takes over
    its even share of the spaces, and none moves between the others.
    """
    return max(range(shards), key=lambda shard: sha256(f"{shard}/{space}".encode()).digest())
