"""What a recommendation is, in numpy: no clock, no environment, no network, no Ray."""
