"""The stages: plain classes with async methods on batches. They import no Ray."""
