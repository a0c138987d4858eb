"""Instances of classes: search trees and graphs of small objects grow and are dropped. Stands for object-
oriented programs, object-relational mappers, compilers."""

from __future__ import annotations

from dataclasses import dataclass, field

from .common import share, steady

random = steady(3)


class Node:
    """A node of a search tree, without a dictionary."""

    __slots__ = ("key", "left", "right", "value")

    def __init__(self, key: int, value: Person) -> None:
        self.key = key
        self.value = value
        self.left: Node | None = None
        self.right: Node | None = None


@dataclass
class Person:
    """A record with a dictionary of its own and a list."""

    name: str
    age: int
    score: float
    friends: list[Person] = field(default_factory=list)


def insert(root: Node, node: Node) -> None:
    """Hang `node` into the tree."""
    while True:
        if node.key < root.key:
            if root.left is None:
                root.left = node
                return
            root = root.left
        else:
            if root.right is None:
                root.right = node
                return
            root = root.right


def main() -> None:
    """Trees of records that know each other; the last five stay."""
    trees: list[Node] = []
    for _ in range(share(110)):
        people: list[Person] = []
        root = Node(1 << 31, Person("root", 0, 0.0))
        for number in range(random.randrange(1000, 8000)):
            person = Person(f"person {number}", random.randrange(100), random.random())
            if people:
                person.friends.append(random.choice(people))
            people.append(person)
            insert(root, Node(random.getrandbits(32), person))
        trees.append(root)
        del trees[:-5]


main()
