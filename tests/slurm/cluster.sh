#!/usr/bin/env bash
# A small Slurm cluster on this machine, for the tests: three nodes, each with eight pretended
# cores and as pretended 64 GB. It listens on the loopback interface only and keeps everything in one folder, but for
# a link where Slurm's commands look: /etc/slurm/slurm.conf.
#   cluster.sh up      install Slurm (Debian's packages) if it is not there, start the cluster
#   cluster.sh down    stop it, delete the folder and the link
set -euo pipefail

FOLDER=${QGPIPE_SLURM:-/var/tmp/qgpipe-slurm}
CONF=$FOLDER/slurm.conf
PORT=${QGPIPE_SLURM_PORT:-26817} # the controller's; the nodes take the next three
NODES="n1 n2 n3"
LINK=/etc/slurm/slurm.conf # the executor plugin drops SLURM_CONF from the environment of jobs
unset SLURM_CONF

say() { echo "slurm: $*"; }
fail() { say "$*" >&2; exit 1; }

install() {
    if command -v slurmctld slurmd munged sbatch >/dev/null; then return; fi
    command -v apt-get >/dev/null || fail "not installed, and there is no apt-get to do it"
    export DEBIAN_FRONTEND=noninteractive
    local attempt
    for attempt in 1 2 3 4; do
        say "installing (attempt $attempt)"
        if timeout 120 apt-get -qq -o DPkg::Lock::Timeout=60 update &&
            timeout 300 apt-get -qq -y -o DPkg::Lock::Timeout=60 install \
                --no-install-recommends slurmctld slurmd slurm-client munge; then
            return
        fi
        sleep $((5 * attempt))
    done
    fail "could not be installed"
} >&2

configure() {
    local host node number=0
    host=$(hostname -s)
    mkdir -p /etc/slurm "$FOLDER"/{munge,state,log} "$FOLDER"/spool/{n1,n2,n3}
    chmod 755 "$FOLDER" "$FOLDER"/munge
    head -c 1024 /dev/urandom >"$FOLDER/munge.key"
    chmod 600 "$FOLDER/munge.key"
    cat >"$CONF" <<CONF
ClusterName=qgpipe
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$PORT
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$FOLDER/munge/socket,cred_expire=5
StateSaveLocation=$FOLDER/state
SlurmdSpoolDir=$FOLDER/spool/%n
SlurmctldPidFile=$FOLDER/slurmctld.pid
SlurmdPidFile=$FOLDER/slurmd-%n.pid
SlurmctldLogFile=$FOLDER/log/slurmctld.log
SlurmdLogFile=$FOLDER/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,defer_batch
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
ReturnToService=1
GresTypes=gpu
SlurmdTimeout=15
InactiveLimit=0
KillWait=15
OverTimeLimit=0
MinJobAge=300
JobRequeue=1
PartitionName=main Nodes=n1 Default=YES MaxTime=1-0 State=UP
PartitionName=frail Nodes=n2 MaxTime=1-0 State=UP
PartitionName=pair Nodes=n1,n3 MaxTime=1-0 State=UP
CONF
    for node in $NODES; do
        number=$((number + 1))
        echo "NodeName=$node NodeHostname=$host NodeAddr=127.0.0.1 Port=$((PORT + number))" \
            "CPUs=8 RealMemory=64000 Gres=gpu:2" >>"$CONF"
    done
    touch "$FOLDER"/gpu0 "$FOLDER"/gpu1 # GPUs that are counted, and not there
    echo "Name=gpu File=$FOLDER/gpu[0-1]" >"$FOLDER/gres.conf"
    if [ "$(slurmd -V | grep -oE '[0-9]+' | head -n 1)" -ge 24 ]; then # older ones look by themselves
        echo "CgroupPlugin=disabled" >"$FOLDER/cgroup.conf"
    fi
}

pid_of() { # the process that wrote a pid file, if it lives and is what it should be
    local pid
    pid=$(cat "$1" 2>/dev/null) && grep -qs "$2" "/proc/$pid/comm" && echo "$pid"
}

stop() { # a daemon by its pid file: asked first, then killed
    local pid
    pid=$(pid_of "$1" "$2") || return 0
    kill "$pid" 2>/dev/null || return 0
    for _ in $(seq 50); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
}

idle() { # all nodes are up
    local up
    up=$(timeout 5 sinfo -h -N -o '%N %T' 2>/dev/null | sort -u | grep -cE ' (idle|mixed|allocated)$')
    [ "$up" = "$(wc -w <<<"$NODES")" ]
}

up() {
    [ "$(id -u)" = 0 ] || fail "starting it needs root"
    if [ -e "$LINK" ] && [ "$(readlink "$LINK")" != "$CONF" ]; then
        fail "this machine has a cluster of its own: $LINK"
    fi
    install
    if [ -f "$CONF" ] && idle; then
        say "already up"
        return
    fi
    down
    local attempt
    for attempt in 1 2 3; do
        configure
        ln -sfn "$CONF" "$LINK"
        if start; then
            say "up: $(sinfo -h -N -o '%N (%c cores)' | sort -u | paste -sd ' ')"
            return
        fi
        say "did not come up (attempt $attempt)" >&2
        tail -n 15 "$FOLDER"/log/* >&2 || true
        down
        PORT=$((PORT + 10))
    done
    fail "could not be started"
}

start() {
    munged --socket="$FOLDER/munge/socket" --key-file="$FOLDER/munge.key" \
        --pid-file="$FOLDER/munge/pid" --log-file="$FOLDER/log/munged.log" \
        --seed-file="$FOLDER/munge/seed" --num-threads=2 || return 1
    slurmctld -c -f "$CONF" || return 1
    local node
    for node in $NODES; do
        slurmd -N "$node" -f "$CONF" || return 1
    done
    for _ in $(seq 60); do
        idle && return 0
        sleep 0.5
    done
    return 1
}

down() {
    local node ours=
    if [ "$(readlink "$LINK")" = "$CONF" ]; then ours=1; fi
    if [ -n "$ours" ]; then timeout 10 scancel --quiet --user=root 2>/dev/null || true; fi
    for node in $NODES; do stop "$FOLDER/slurmd-$node.pid" slurmd; done
    stop "$FOLDER/slurmctld.pid" slurmctld
    stop "$FOLDER/munge/pid" munged
    rm -rf "$FOLDER"
    if [ -n "$ours" ]; then rm -f "$LINK"; fi
}

case ${1:-} in
up) up ;;
down) down ;;
*)
    sed -n '2,6s/^# //p' "$0"
    exit 2
    ;;
esac
