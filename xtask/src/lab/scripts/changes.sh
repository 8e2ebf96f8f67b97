# `changes FOLDER MAC ADDRESS/BITS URL SECONDS MODULE`: while nicmon runs, unloads a driver in the middle of a
# download and loads it again, then takes a CPU offline and online again.

# Notes the time, in seconds.hundredths since boot.
mark() {
    echo "$2 $(cut -d ' ' -f 1 /proc/uptime)" >>"$1/marks"
}

# Runs a command that must succeed.
must() {
    "$@"
    echo "$* $?" >>"$folder/status"
}

fetch() {
    mark "$folder" "$3"
    must timeout "$1" wget -q -O /dev/null "$2"
    mark "$folder" "$3-end"
}

switch_cpu_1() {
    echo "$1" >/sys/devices/system/cpu/cpu1/online
}

changes() {
    folder=/tmp/$1
    begin "$folder" "$2" "$3" || return
    start_nicmon "$folder"
    fetch "$5" "$4" before

    timeout "$5" wget -q -O /dev/null "$4" &
    cut_off=$!
    sleep 1
    must rmmod "$6"
    mark "$folder" unloaded
    kill $cut_off
    wait $cut_off
    sleep 2
    mark "$folder" unloaded-end
    must insmod "/modules/$6.ko"
    name=$(interface "$2")
    must ip address add "$3" dev "$name"
    must ip link set "$name" up
    sleep 2
    fetch "$5" "$4" loaded

    timeout "$5" wget -q -O /dev/null "$4" &
    under_way=$!
    sleep 1
    must switch_cpu_1 0
    sleep 2
    wait $under_way
    echo "wget $?" >>"$folder/status"
    fetch "$5" "$4" offline
    must switch_cpu_1 1
    sleep 2
    fetch "$5" "$4" online

    stop_nicmon "$folder"
    end "$folder"
}
