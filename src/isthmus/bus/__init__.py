"""The bus: broker process, clients, subjects, publisher and cursors; blind to what the numbers mean."""
