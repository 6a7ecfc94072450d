"""Users, passwords, sessions in the database, invitations, and limits on guessing."""

from app.accounts.accounts import Accounts, OpenSession, SignedIn, UserInfo, Visitor

__all__ = ["Accounts", "OpenSession", "SignedIn", "UserInfo", "Visitor"]
