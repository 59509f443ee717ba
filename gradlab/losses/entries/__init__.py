"""Parts of the table of losses, one per family; `LOSSES` joins them."""
