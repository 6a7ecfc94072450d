"""The workspace's files as a tree."""

from components.file_tree.file_tree import FileTree

__all__ = ["FileTree"]
