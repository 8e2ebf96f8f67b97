# `losses MAC ADDRESS/BITS SECONDS LOSS...`: the path of packets that are lost on purpose, once for each
# LOSS. Each is a function here that causes it, and whose name with `undo_` before it undoes it.
losses() {
    mac=$1 address=$2 seconds=$3
    shift 3
    for loss in "$@"; do
        folder=/tmp/$loss
        begin "$folder" "$mac" "$address" || return
        (
            set -e
            "$loss"
        ) 2>"$folder/other.err"
        echo "$loss $?" >>"$folder/status"
        lost_so_far "$folder" before
        watch_path "$folder" "$seconds"
        lost_so_far "$folder" after
        "undo_$loss" 2>/dev/null
        end "$folder"
    done
}

# What the kernel itself counts.
lost_so_far() {
    cat /proc/net/snmp /proc/net/netstat >"$1/protocols.$2"
    cp /proc/net/softnet_stat "$1/softnet.$2"
    rules -L INPUT -v -x -n >"$1/rules.$2"
}

rules() {
    XTABLES_LIBDIR=/xtables xtables-legacy-multi iptables "$@"
}

# A socket with little room, which nobody reads.
full_socket() {
    cat >/full <<'EOF'
# AF_INET, SOCK_DGRAM; SOL_SOCKET, SO_RCVBUF; port 9 of all addresses.
socket(S, 2, 2, 0) or die $!;
setsockopt(S, 1, 8, pack("i", 4096)) or die $!;
bind(S, pack("S n x12", 2, 9)) or die $!;
sleep 1000;
EOF
    perl /full &
    echo $! >/full.pid
    sleep 1
}
undo_full_socket() {
    kill "$(cat /full.pid)"
}

netfilter() {
    rules -A INPUT -p udp -j DROP
}
undo_netfilter() {
    rules -F INPUT
}

# The table of local addresses comes first by default, so no rule can come before it. 17 is UDP. Only a
# machine that forwards counts this as a missing route (ip_route_input_slow, net/ipv4/route.c).
no_route() {
    echo 1 >/proc/sys/net/ipv4/ip_forward
    /bin/ip rule add pref 100 lookup local
    /bin/ip rule add pref 50 dev "$name" ipproto 17 unreachable
    /bin/ip rule del pref 0
}
undo_no_route() {
    /bin/ip rule add pref 0 lookup local
    /bin/ip rule del pref 50
    /bin/ip rule del pref 100
    echo 0 >/proc/sys/net/ipv4/ip_forward
}

# Another CPU needs longer for a packet than this one for the next.
backlog() {
    echo 1 >/proc/sys/net/core/netdev_max_backlog
    for queue in "/sys/class/net/$name/queues"/rx-*; do echo 2 >"$queue/rps_cpus"; done
    for line in $(lines "$name"); do echo 0 >"/proc/irq/$line/smp_affinity_list"; done
    /bin/ip link set dev "$name" xdpgeneric object /slow.o section xdp
}
undo_backlog() {
    /bin/ip link set dev "$name" xdpgeneric off
    for queue in "/sys/class/net/$name/queues"/rx-*; do echo 0 >"$queue/rps_cpus"; done
    echo 1000 >/proc/sys/net/core/netdev_max_backlog
}

native_xdp() {
    /bin/ip link set dev "$name" xdpdrv object /drop.o section xdp
}
undo_native_xdp() {
    /bin/ip link set dev "$name" xdpdrv off
}

generic_xdp() {
    /bin/ip link set dev "$name" xdpgeneric object /drop.o section xdp
}
undo_generic_xdp() {
    /bin/ip link set dev "$name" xdpgeneric off
}
