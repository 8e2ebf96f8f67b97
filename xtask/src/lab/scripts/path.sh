# `path FOLDER MAC ADDRESS/BITS SECONDS`: the path of the packets of a load that begins after nicmon has begun to
# count them, and ends before it stops.
path() {
    folder=/tmp/$1
    begin "$folder" "$2" "$3" || return
    start_reader "$folder"
    nicmon path "$name" --for "$4s" --json >"$folder/path" 2>"$folder/nicmon.err" &
    nicmon=$!
    tries=600
    while ! grep -qs netif_rx_entry /proc/$nicmon/fdinfo/* && kill -0 $nicmon 2>/dev/null &&
        [ $((tries -= 1)) -gt 0 ]; do sleep 0.1; done
    sleep 3
    touch /out/send
    sleep $(($4 / 2 - 8))
    rm /out/send
    wait $nicmon
    echo "nicmon $?" >>"$folder/status"
    kill $reader
    end "$folder"
}
