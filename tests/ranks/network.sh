#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Two network namespaces as two hosts, a and b, with a cable between them: network.sh TTT FOLDER. Ranks on both train as
# docs/CLUSTER.md says, over a cable as it is, a thin one, slow ones and ones that lose packets, with the bits of one
# process; and when it is cut, all end with a sentence, and the run goes on to those bits. Needs root; with TTT_TEST_LONG.
set -uo pipefail
ttt=$1 folder=$2 here=$(cd "$(dirname "$0")" && pwd)
skip() { echo "skipped: $*" && exit 77; }
[ -n "${TTT_TEST_LONG-}" ] || skip "two hosts are part of ./check --long (TTT_TEST_LONG)"
[ "$(id -u)" = 0 ] || skip "network namespaces need root"
for tool in mpirun ip tc unshare; do command -v $tool >/dev/null || skip "$tool is missing"; done
[ -e "$(dirname "$ttt")/../lib/libttt_mpi.so" ] || skip "this build has no MPI"

# Names of this run alone: others may test beside it.
a=ttt-a-$$ b=ttt-b-$$
ip netns add "$a" 2>/dev/null && ip netns add "$b" || skip "network namespaces cannot be made here"
trap 'ip netns del "$a"; ip netns del "$b"' EXIT
ip link add cable netns "$a" type veth peer name cable netns "$b" || skip "no virtual cable can be made here"
for host in a:1 b:2; do
    space=${host%:*} && space=${!space}
    ip -n "$space" addr add "10.77.0.${host#*:}/24" dev cable
    ip -n "$space" link set cable up
    ip -n "$space" link set lo up
done

rm -rf "$folder" && mkdir -p "$folder" && cd "$folder" || exit 1
for i in $(seq 2000); do echo "$i times $i is $((i * i))"; done >text
# What ssh does for machines: a command on another host, under its name.
cat >remote <<END
#!/bin/sh
shift
exec ip netns exec $b unshare --uts sh -c "hostname b; \$*"
END
chmod +x remote
printf '10.77.0.1 slots=1\n10.77.0.2 slots=1\n' >hosts
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
together=(ip netns exec "$a" unshare --uts sh -c 'hostname a; exec "$@"' sh mpirun --hostfile hosts -np 2 --map-by node
    --bind-to none --mca plm_rsh_agent "$PWD/remote" --mca btl tcp,self --mca btl_tcp_if_include 10.77.0.0/24
    --mca oob_tcp_if_include 10.77.0.0/24
    --mca oob_tcp_keepalive_time 5 --mca oob_tcp_keepalive_intvl 2 --mca oob_tcp_keepalive_probes 3)
train=("$ttt" train text -t byte --set hidden_size=64 --set num_hidden_layers=2 --set num_attention_heads=4
    --set intermediate_size=96 --context 16 --batch 128 --leaves 2 --threads 1 --save-every 5)

failed=0
check() { # WHAT COMMAND...
    local what=$1
    shift
    if "$@"; then echo "passed: $what"; else failed=1 && echo "FAILED: $what"; fi
}
same() { cmp one/model.safetensors "$1/model.safetensors"; }

"${train[@]}" -o one --steps 20 2>one.log && "${train[@]}" -o long --steps 8000 2>long.log || exit 1
trial() { # NAME: over the cable as it is now
    timeout 300 "${together[@]}" "${train[@]}" -o "$1" --steps 20 >"$1.log" 2>&1
    local code=$?
    grep -q '2 ranks on 2 hosts: 0 on a, 1 thread, processors .*; 1 on b' "$1.log" && [ $code = 0 ] && same "$1"
}
check "two hosts" trial plain
# A queue that is full after 5 ms makes packets wait and drops the rest.
ip netns exec "$a" tc qdisc replace dev cable root tbf rate 20mbit burst 16k latency 5ms &&
    check "a thin cable that drops packets" trial thin
ip netns exec "$a" tc qdisc del dev cable root 2>/dev/null
address() { ip -n "$a" addr "$1" 10.77.0.1/24 dev cable && ip -n "$b" addr "$1" 10.77.0.2/24 dev cable; }
bad_trial() { # NAME OPTION...: over another cable with the same addresses
    local name=$1 job code
    shift
    address del || return 1
    "$here/bad_cable" "$@" "$a:10.77.0.1/24" "$b:10.77.0.2/24" >"$name.cable" &
    job=$!
    for _ in $(seq 100); do [ -s "$name.cable" ] && break || sleep 0.1; done
    trial "$name"
    code=$?
    kill $job && wait $job
    address add && return $code
}
if [ -c /dev/net/tun ] && command -v python3 >/dev/null; then
    check "a delay of 20 ms each way" bad_trial delay --delay 20
    check "one packet of 50 lost" bad_trial loss --loss 0.02
    check "both" bad_trial both --delay 5 --loss 0.02
else
    echo "skipped: delay and loss need /dev/net/tun and python3"
fi

# The cable is cut while they train.
timeout -k 5 90 "${together[@]}" "${train[@]}" -o cut --steps 8000 >cut.log 2>&1 &
job=$!
for _ in $(seq 600); do compgen -G 'cut/checkpoint/step-*.safetensors' >/dev/null && break || sleep 0.1; done
ip -n "$b" link set cable down
gone() { # the ranks, whose command lines begin with the program; mpirun's does not
    for _ in $(seq 400); do pgrep -f -- "^$ttt train .*-o cut --steps 8000" >/dev/null || return 0; sleep 0.1; done
    return 1
}
check "a cut cable ends all ranks" gone
wait $job
code=$?
check "and fails" test $code != 0
if [ $code = 124 ] || [ $code = 137 ]; then echo "note: mpirun did not end by itself and was stopped"; fi
# Whoever notices first, a rank or mpirun, ends the other before it speaks.
check "and is told" grep -q 'was not heard of for\|cannot be reached\|cannot reach\|cannot exchange\|lost communication' cut.log
check "the checkpoint stays" test -e "$(find cut/checkpoint -name 'step-*.safetensors' | head -n 1)"
sleep 1
check "nobody is left behind" sh -c "! pgrep -f -- '[-]o cut --steps 8000'"
ip -n "$b" link set cable up
again() {
    timeout 300 "${together[@]}" "${train[@]}" -o cut --steps 8000 >again.log 2>&1 && cmp long/model.safetensors cut/model.safetensors
}
check "mended, the run goes on to the same bits" again
exit $failed
