from benchmarks.bench_command import main
from benchmarks.stopping import exit_on_sigterm

exit_on_sigterm()
main(prog_name="python -m benchmarks")
