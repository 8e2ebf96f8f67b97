# `recordings FOLDER MAC ADDRESS/BITS URL SECONDS DOWNLOADS NUMBER`: makes this many recordings, each of the
# same downloads.
recordings() {
    folder=/tmp/$1
    begin "$folder" "$2" "$3" || return
    for number in $(seq "$7"); do
        nicmon record -q --max-overhead off -d 100ms -F 997 -o "$folder/$number.rec" -- \
            timeout "$5" sh -c "$(downloads "$4" "$6")" 2>>"$folder/nicmon.err"
        echo "record $?" >>"$folder/status"
    done
    end "$folder"
}
