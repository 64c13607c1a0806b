"""Work on a Ray cluster: connection, checks of the nodes, and prediction of many images with Ray Data."""
