"""From interactions to a published bundle: load, fit, evaluate, publish; and the demo shop."""
