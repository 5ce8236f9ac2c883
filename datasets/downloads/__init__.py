"""Public datasets whose licence allows them to be fetched: what there is (`catalogue`) and the fetching."""
