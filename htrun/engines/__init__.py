"""What runs jobs: the protocol that engines follow, and the two that come with htrun."""
