"""Traffic history: decisions of the delivery policy and their outcomes, sampled, in files that outlive the gateway."""
