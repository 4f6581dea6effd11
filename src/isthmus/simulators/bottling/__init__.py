"""A bottling hall behind Modbus TCP: six controllers in processes of their own, and physics that hang together."""
