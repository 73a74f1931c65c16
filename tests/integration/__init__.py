"""Tests over real sockets; a package, so that its raw peer can be imported."""
