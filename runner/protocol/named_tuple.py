"""`typing.NamedTuple` to the type checker; at run time few lines that save the agent 9 ms and 3 MiB."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from _operator import itemgetter

    class NamedTuple(tuple):
        """A tuple whose annotated fields are also properties, keywords and match arguments."""

        __slots__ = ()
        __match_args__ = ()

        def __init_subclass__(cls):
            cls.__match_args__ = tuple(cls.__annotations__)
            for index, name in enumerate(cls.__match_args__):
                setattr(cls, name, property(itemgetter(index)))

        def __new__(cls, *values, **named):
            if named:
                values += tuple(named.pop(name) for name in cls.__match_args__[len(values) :] if name in named)
            if named or len(values) != len(cls.__match_args__):
                raise TypeError(f"{cls.__name__} takes exactly {', '.join(cls.__match_args__)}")
            return super().__new__(cls, values)

        def __repr__(self):
            fields = ", ".join(f"{name}={value!r}" for name, value in zip(self.__match_args__, self, strict=True))
            return f"{type(self).__name__}({fields})"

        def __eq__(self, other):
            return type(self) is type(other) and tuple.__eq__(self, other)

        def __ne__(self, other):
            return not self == other

        __hash__ = tuple.__hash__


__all__ = ["NamedTuple"]
