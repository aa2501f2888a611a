"""What operators do to a running application: run, doctor, scale, status."""
