#!/bin/sh
# The shell in which Snakemake starts the script of a rule (resource shell_exec). It is called with
#     -c "PYTHON SCRIPT", or -c "SETUP; PYTHON SCRIPT" where an environment is activated before.
# PYTHON takes the shell's place: a signal to the job reaches the script, with nothing in between that
# would end before it. The path of PYTHON may have spaces, which Snakemake quotes in SCRIPT alone.
case $2 in
*\') before=${2% \'/*} ;;
*) before=${2% *} ;;
esac
script=${2#"$before "}
[ -x "$before" ] && eval exec '"$before"' "$script"

setup=${before%; *} python=${before##*; }
python=${python#"${python%%[! ]*}"}
if [ "$setup" != "$before" ] && { [ "$python" = python ] || [ -x "$python" ]; }; then
    exec bash -c "$setup; "'exec "$0" '"$script" "$python"
fi
exec bash "$@"
