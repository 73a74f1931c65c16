"""Plans against fixed settings: six workloads, one a pattern of collaboration, each with mixed links and a burst."""
