"""Users, passwords, sessions in the database, invitations, and limits on guessing."""

from app.accounts.accounts import Accounts, UserInfo, Visitor
from app.accounts.sessions import OpenSession, OpenToken, SignedIn

__all__ = ["Accounts", "OpenSession", "OpenToken", "SignedIn", "UserInfo", "Visitor"]
