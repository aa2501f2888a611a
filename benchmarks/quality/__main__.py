from benchmarks.quality.cli import main

main(prog_name="python -m benchmarks.quality")
