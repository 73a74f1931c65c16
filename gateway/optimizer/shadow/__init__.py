"""Shadow trials: samples of real payloads, encoded by all candidates in a process of their own."""
