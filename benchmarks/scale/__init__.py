"""Scale: very many idle connections, their memory in gateway and kernel, and the CPU time of the heartbeat."""
