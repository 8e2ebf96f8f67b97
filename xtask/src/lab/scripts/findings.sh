# `findings MAC ADDRESS/BITS FRAMES`: sets a NIC up as the function `setup` says, and starts nicmon. Asks for
# the load once nicmon has seen the NIC at rest.

# `queue_to_cpu QUEUE CPU`: sends the interrupt of a receive queue of a virtio NIC to a CPU.
queue_to_cpu() {
    for line in $(lines "$nic"); do
        for action in /proc/irq/"$line"/*-input."$1"; do
            if [ -d "$action" ]; then echo "$2" >"/proc/irq/$line/smp_affinity_list"; fi
        done
    done
}

# `all_to_cpu CPU`: sends all interrupts of the NIC to a CPU.
all_to_cpu() {
    for line in $(lines "$nic"); do
        echo "$1" >"/proc/irq/$line/smp_affinity_list"
    done
}

# `lines_to_cpus`: sends the NIC's interrupts to one CPU after the other.
lines_to_cpus() {
    cpu=0
    for line in $(lines "$nic"); do
        echo $cpu >"/proc/irq/$line/smp_affinity_list"
        cpu=$(((cpu + 1) % $(nproc)))
    done
}

# A few packets for each queue. An interrupt goes to another CPU only when it comes the next time
# (irq_move_irq, kernel/irq/migration.c), and a queue that is never empty from then on has no next time.
settle() {
    touch /out/settle
    sleep 3
    rm /out/settle
}

# `pin_threads CPU`: keeps the threads that poll the NIC on a CPU.
pin_threads() {
    for process in /proc/[0-9]*; do
        case $(cat "$process/comm") in
            "napi/$nic-"*) taskset -p "$(printf %x $((1 << $1)))" "${process#/proc/}" ;;
        esac
    done
}

# `rules NUMBER`: firewall rules that match nothing. No packets come from this network, which is reserved for
# tests of devices.
rules() {
    {
        printf '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n'
        for number in $(seq "$1"); do
            echo "-A INPUT -s 198.18.$((number / 250)).$((number % 250))/32 -j DROP"
        done
        echo COMMIT
    } | xtables-legacy-multi iptables-restore
}

frames_are() {
    [ "$(wc -l <"$folder/frames")" -ge "$1" ]
}

findings() {
    folder=/tmp/findings
    begin "$folder" "$1" "$2" || return
    nic=$name
    (
        set -e
        setup
    ) 2>"$folder/other.err"
    echo "setup $?" >>"$folder/status"
    sleep 1
    nicmon --json --max-overhead off -d 1s -n "$3" >"$folder/frames" 2>"$folder/nicmon.err" &
    nicmon=$!
    tries=600
    while ! frames_are 2 && kill -0 $nicmon 2>/dev/null && [ $((tries -= 1)) -gt 0 ]; do sleep 0.1; done
    touch /out/send
    (beside) 2>>"$folder/other.err" &
    wait $nicmon
    echo "nicmon $?" >>"$folder/status"
    rm /out/send
    end "$folder"
}
