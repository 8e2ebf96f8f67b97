# `counts FOLDER MAC ADDRESS/BITS URL SECONDS HOST BYTES FLOWS`: downloads, then uploads, several flows at a
# time.

# `flows NUMBER COMMAND...`: runs the same command several times in parallel; fails if any of them fails.
flows() {
    number=$1
    shift
    flows=
    while [ $((number -= 1)) -ge 0 ]; do
        "$@" &
        flows="$flows $!"
    done
    failed=0
    for flow in $flows; do
        wait "$flow" || failed=1
    done
    return $failed
}

upload() {
    timeout "$1" nc "$2" 81 </tmp/zeros
}

counts() {
    folder=/tmp/$1
    begin "$folder" "$2" "$3" || return
    truncate -s "$7" /tmp/zeros
    start_nicmon "$folder"
    flows "$8" timeout "$5" wget -q -O /dev/null "$4"
    echo "download $?" >>"$folder/status"
    flows "$8" upload "$5" "$6"
    echo "upload $?" >>"$folder/status"
    stop_nicmon "$folder"
    end "$folder"
}
