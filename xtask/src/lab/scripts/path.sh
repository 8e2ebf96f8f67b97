# `watch_path FOLDER SECONDS`: the path of the packets of $name, under a load that begins after nicmon has
# begun to count them, and ends before it stops.
watch_path() {
    nicmon path "$name" --for "$2s" --json >"$1/path" 2>"$1/nicmon.err" &
    nicmon=$!
    tries=600
    while ! grep -qs netif_rx_entry /proc/$nicmon/fdinfo/* && kill -0 $nicmon 2>/dev/null &&
        [ $((tries -= 1)) -gt 0 ]; do sleep 0.1; done
    sleep 3
    rm -f /out/sent
    touch /out/send
    sleep $(($2 / 2 - 8))
    rm /out/send
    wait $nicmon
    echo "nicmon $?" >>"$1/status"
    cp /out/sent "$1/sent"
}

# `path FOLDER MAC ADDRESS/BITS SECONDS`: the path of packets that a program reads.
path() {
    folder=/tmp/$1
    begin "$folder" "$2" "$3" || return
    start_reader "$folder"
    watch_path "$folder" "$4"
    kill $reader
    end "$folder"
}
